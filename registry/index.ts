export {
  type Credential,
  type CredentialChange,
  Credentials,
  hashSecret,
  type Identity,
  newSecret,
  sameHash,
} from './credentials.ts';
export { createRegistry, type RegisteredDevice, type Registry } from './registry.ts';
export { createDeviceService, createKeyService, type DeviceService, type KeyService } from './services.ts';
