export { type ReporterRefusal, refuseReporter } from './access.ts';
export { createMedia, MEDIA_FOLDER, type Media } from './media.ts';
export { MOST_PHOTO_BYTES, PHOTO_FAULTS, type Photo, type PhotoFault, photoOf } from './photo/index.ts';
export { createReception, mediaPath, type Received, type Reception, type Report } from './reception.ts';
export { type KeptReporter, openReporters, type Reporter, type Reporters } from './reporters.ts';
