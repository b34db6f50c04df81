export { type Cleaning, createCleaning, type PhotoThread } from './cleaning.ts';
export { CHANNELS, type FollowChannel } from './followers.ts';
export { createMedia, MEDIA_FOLDER, type Media } from './media.ts';
export { happened } from './messages.ts';
export { type RequestPage, RequestPageSchema, requestPageOf, textOf, wordsOf } from './page.ts';
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
export { type Outgoing, ProgressSender } from './progress.ts';
export {
  createReception,
  type GivenRating,
  mediaPath,
  photoIn,
  type Received,
  type Reception,
  type Report,
  type Said,
  type Sender,
} from './reception.ts';
export {
  type Reporter,
  type ReporterRefusal,
  refuseReporter,
  type StoredReporter,
  StoredReporterSchema,
} from './reporters.ts';
export { copyOf, createSharedWrites } from './shared.ts';
export { createSharedMedia, sharePhotos } from './shared-media.ts';
export { createShown, REMOVED, type Shown, type ShownChange, type ShownRequest } from './statements.ts';
export { CITIZENS_FILE, type CitizenStore, createCitizenStore, type Entry } from './store.ts';
export { createWords } from './words.ts';
export { type CitizenWrites, createLocalWrites } from './writes.ts';
