/** Sets the error message for a value of the wrong type; a missing value keeps the message for missing values. */
export const unless =
  (message: string) =>
  ({ input }: { readonly input?: unknown }): string | undefined =>
    input === undefined ? undefined : message;
