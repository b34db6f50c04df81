export { createMedia, MEDIA_FOLDER, type Media } from './media.ts';
export { MOST_PHOTO_BYTES, PHOTO_FAULTS, type Photo, type PhotoFault, photoOf } from './photo.ts';
export { createReception, mediaPath, type Received, type Reception, type Report } from './reception.ts';
export {
  openReporters,
  type Reporter,
  type ReporterRefusal,
  type Reporters,
  refuseReporter,
  type StoredReporter,
  StoredReporterSchema,
} from './reporters.ts';
