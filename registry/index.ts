export {
  carryOutRegistry,
  isRegistryCommand,
  type RegistryCommand,
  type RegistryResults,
  registryRightOf,
  registryTargetOf,
} from './commands.ts';
export {
  type Credential,
  type CredentialChange,
  Credentials,
  hashSecret,
  type Identity,
  newSecret,
  sameHash,
} from './credentials.ts';
export type { DeviceChange, DeviceReplacement, HashedDevice } from './device-records.ts';
export { Draws } from './draws.ts';
export { type FileOfBefore, readFileOfBefore } from './file-of-before.ts';
export { RegistryFollower } from './follower.ts';
export type { KeyChange } from './key-records.ts';
export { createKeyUses, type KeyUse, type KeyUses, writeKeyUse } from './key-use.ts';
export { type OneTime, oneTimeHere, oneTimeOf } from './one-time.ts';
export { checkPassword, createPasswords, LEAST_PASSWORD, MOST_PASSWORD, type Passwords } from './passwords.ts';
export {
  createPeopleReader,
  createPeopleStore,
  emailOf,
  PEOPLE_SCHEMA,
  type PeopleReader,
  type PeopleStore,
  type StoredPerson,
  shownPerson,
} from './people.ts';
export { createRegistryReader, DEVICE_ORDERS, type DeviceQuery, type RegistryReader } from './reader.ts';
export { RegistryRecords } from './records.ts';
export type { RegisteredDevice, RegisteredKey } from './rows.ts';
export { REGISTRY_SCHEMA } from './schema.ts';
export {
  ClaimCodeSchema,
  createDeviceService,
  createKeyService,
  type DeviceService,
  type KeyService,
  OVERLAP_MS,
} from './services.ts';
export { type Attempt, createSignIn, type SignIn, type Visitor } from './sign-in.ts';
export { SignedIn, type Way, WebSessionSchema } from './signed-in.ts';
export { ADMIN, type RecordPlace } from './state.ts';
export { newTotpSecret, TOTP_SECRET, totpStep, totpUri } from './totp.ts';
