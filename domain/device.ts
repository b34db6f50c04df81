/** A registered device, as the API shows it (without its secret). */
export interface Device {
  /** `[A-Za-z0-9][A-Za-z0-9._:-]*`, at most 64 characters: it is a topic level, a user name and a client id. */
  readonly id: string;
  /** Id of a profile in `profiles.yaml`. */
  readonly profile: string;
  /** Id of a district in `districts.geojson`. */
  readonly district: string;
  /** Name for people; the id where absent. */
  readonly name?: string;
  /** WGS 84 degrees. */
  readonly location?: { readonly lat: number; readonly lon: number };
  readonly tags?: Readonly<Record<string, string>>;
}

/** What a device id must look like. */
export const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/;
