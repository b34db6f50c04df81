export { type Credential, type CredentialChange, Credentials, type Identity } from './credentials.ts';
export { openRegistry, type RegisteredDevice, type Registry } from './registry.ts';
export { hashSecret, newSecret, sameHash } from './secrets.ts';
export { createDeviceService, createKeyService, type DeviceService, type KeyService } from './services.ts';
