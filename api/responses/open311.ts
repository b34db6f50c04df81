import { z } from 'zod';

/** Responses of Open311 GeoReport v2 in JSON; those in XML have the same fields. */
const named = (id: string, description: string) => ({
  id: `Open311${id}`,
  description: `GeoReport v2: ${description}`,
});
const text = z.string().nullable();
const instant = z.iso.datetime();

const Discovery = z
  .object({
    changeset: instant,
    contact: z.string(),
    key_service: text,
    endpoints: z.array(
      z.object({
        specification: z.string(),
        url: z.string(),
        changeset: instant,
        type: z.string(),
        formats: z.array(z.string()),
      }),
    ),
  })
  .meta(named('Discovery', 'where the endpoint is'));

const Service = z
  .object({
    service_code: z.string(),
    service_name: z.string(),
    description: z.string(),
    metadata: z.boolean().describe('Whether the service asks questions; its definition lists them'),
    type: z.literal('realtime'),
    keywords: z.string(),
    group: z.string(),
  })
  .meta(named('Service', 'a service that citizens may request'));

const Definition = z
  .object({
    service_code: z.string(),
    attributes: z.array(
      z.object({
        variable: z.boolean(),
        code: z.string(),
        datatype: z.string(),
        required: z.boolean(),
        datatype_description: text,
        order: z.int(),
        description: z.string(),
        values: z.array(z.object({ key: z.string(), name: z.string() })).optional(),
      }),
    ),
  })
  .meta(named('Definition', 'the questions of a service'));

const Posted = z
  .object({
    service_request_id: z.string(),
    service_notice: z.string(),
    account_id: text,
    reporter_token: z.string().describe('Shown once; it proves who reported the request'),
  })
  .meta(named('Posted', 'a request that was accepted'));

const Request = z
  .object({
    service_request_id: z.string(),
    status: z.enum(['open', 'closed']),
    status_notes: text,
    service_name: z.string(),
    service_code: z.string(),
    description: z.string(),
    agency_responsible: z.string(),
    service_notice: text,
    requested_datetime: instant,
    updated_datetime: instant,
    expected_datetime: instant,
    address: text,
    address_id: text,
    zipcode: text,
    lat: z.number().nullable(),
    long: z.number().nullable(),
    media_url: text,
    extended_attributes: z
      .object({
        origin: z.enum(['sensor', 'citizen', 'operator']),
        severity: z.string(),
        district: z.string(),
        reports: z.int().describe('The number of citizens who reported the same'),
        same_as: text.describe('The request that this one repeats'),
        rating: z.int().nullable(),
        asset: text.describe('The pole, bin or manhole that it is about'),
        media_urls: z.array(z.string()).readonly().describe('All photos'),
      })
      .optional()
      .describe('With `extensions=true`'),
  })
  .meta(named('Request', 'a request for a service'));

const Update = z
  .object({
    update_id: z.string().describe('Names it for ever'),
    service_request_id: z.string(),
    status: z.enum(['OPEN', 'CLOSED']).describe('Of the request after it'),
    updated_datetime: instant,
    description: z.string(),
    media_url: text,
  })
  .meta(named('Update', 'something that happened to a request (an extension)'));

const Updated = z
  .object({ update_id: z.string(), service_request_id: z.string() })
  .meta(named('Updated', 'an update that was accepted (an extension)'));

const Token = z
  .object({ service_request_id: z.string(), token: z.string() })
  .meta(named('Token', 'the request of a token'));

const Errors = z
  .array(z.object({ code: z.int(), description: z.string().describe('What is wrong, and what would be right') }))
  .meta(named('Errors', 'everything that is wrong with a request'));

/** A document in both formats. */
const both = (schema: z.ZodType, description: string) => ({
  description,
  content: { 'application/json': { schema }, 'text/xml': { schema: z.string() } },
});

const responses = (schema: z.ZodType, description: string) => ({
  200: both(schema, description),
  default: both(Errors, 'What is wrong'),
});

/** The responses of the routes of GeoReport v2, for the OpenAPI document. */
export const OPEN311_RESPONSES = {
  discovery: responses(Discovery, 'Where the endpoint is'),
  services: responses(z.array(Service), 'All services that citizens may request'),
  definition: responses(Definition, 'The questions of a service'),
  posted: responses(z.array(Posted), 'The request that was accepted'),
  requests: responses(z.array(Request), 'Requests'),
  updates: responses(z.array(Update), 'What happened'),
  updated: responses(z.array(Updated), 'The update that was accepted'),
  token: responses(z.array(Token), 'The request of the token'),
  photo: {
    200: { description: 'The photo', content: { 'image/*': { schema: z.string() } } },
    default: both(Errors, 'What is wrong'),
  },
} as const;
