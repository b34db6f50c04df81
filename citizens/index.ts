export { type Cleaning, createCleaning, type PhotoThread } from './cleaning.ts';
export { createMedia, MEDIA_FOLDER, type Media } from './media.ts';
export { type Photo, photoOf } from './photo.ts';
export {
  MOST_PARTS,
  MOST_PHOTO_BYTES,
  MOST_PIXELS,
  MOST_SCANS,
  Parts,
  PHOTO_FAULTS,
  type PhotoFault,
} from './picture.ts';
export { createReception, mediaPath, type Received, type Reception, type Report } from './reception.ts';
export {
  createReporters,
  type Reporter,
  type ReporterRefusal,
  type Reporters,
  refuseReporter,
  type StoredReporter,
  StoredReporterSchema,
} from './reporters.ts';
