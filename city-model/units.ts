/** What a unit has besides its factor. */
interface More {
  readonly offset?: number;
  /**
   * The one quantity of its dimension that it measures. Units of two such quantities do not stand for each other (`%RH`
   * and `%EL`); each of them converts to and from the units that say nothing of it (`%`).
   */
  readonly kind?: string;
}

/**
 * Units by dimension: `factor names…`, the value in the dimension's smallest unit being `value × factor` (+ offset).
 * Names are those of UCUM, of SenML (RFC 8428 §12.1, RFC 8798) and the common codes of UNECE recommendation 20. Factors
 * are whole numbers where they can be, so that a conversion is one correctly rounded quotient.
 */
const TABLE: Readonly<Record<string, readonly (readonly [factor: number, names: string, more?: More])[]>> = {
  temperature: [
    [1, 'K KEL'],
    [1, 'Cel CEL °C degC', { offset: 273.15 }],
    [5 / 9, '[degF] °F degF FAH', { offset: (459.67 * 5) / 9 }],
  ],
  pressure: [
    [1, 'Pa PAL'],
    [100, 'hPa A97 mbar MBR'],
    [1_000, 'kPa KPA'],
    [100_000, 'bar BAR'],
    [1_000_000, 'MPa MPA'],
    [101_325, 'atm ATM'],
    [133.322387415, 'mm[Hg] mmHg HN'],
    [6_894.757293168, '[psi] psi PS'],
  ],
  'mass concentration': [
    [1, 'ng/m3'],
    [1_000, 'ug/m3 GQ'],
    [1_000_000, 'mg/m3 GP ug/L ug/l'],
    [1_000_000_000, 'g/m3 A93 mg/L mg/l M1'],
    [1_000_000_000_000, 'kg/m3 KMQ g/L g/l GL'],
  ],
  'number concentration': [
    [1, '1/m3 /m3'],
    [1_000, '1/L 1/l /L /l'],
    [1_000_000, '1/cm3 /cm3 #/cm3'],
  ],
  ratio: [
    [1, 'ppb [ppb] 61'],
    [1_000, 'ppm [ppm] 59'],
    [1_000_000, '/1000 10*-3'],
    [10_000_000, '% P1 /100'],
    [10_000_000, '%RH', { kind: 'relative humidity' }],
    [10_000_000, '%EL', { kind: 'the charge of a battery' }],
    [1_000_000_000, '/ 1 C62'],
  ],
  'sound level': [
    [1, 'dB 2N'],
    [1, 'dB(A) dBA dB[A]', { kind: 'A-weighted sound level' }],
    [1, 'dB[SPL]', { kind: 'unweighted sound level' }],
    [10, 'B[SPL] Bspl', { kind: 'unweighted sound level' }],
  ],
  'power level': [
    [1, 'dBm'],
    [1, 'dBW', { offset: 30 }],
  ],
  speed: [
    [1, 'mm/h'],
    [1_000, 'm/h'],
    [36_000, 'cm/s'],
    [1_000_000, 'km/h KMH'],
    [1_097_280, '[ft_i]/s ft/s FS'],
    [1_609_344, '[mi_i]/h mph HM'],
    [1_852_000, '[kn_i] kn KNT'],
    [3_600_000, 'm/s MTS'],
  ],
  length: [
    [1, 'um 4H'],
    [1_000, 'mm MMT'],
    [10_000, 'cm CMT'],
    [25_400, '[in_i] in INH'],
    [100_000, 'dm DMT'],
    [304_800, '[ft_i] ft FOT'],
    [1_000_000, 'm MTR'],
    [1_000_000_000, 'km KMT'],
    [1_609_344_000, '[mi_i] mi SMI'],
  ],
  time: [
    [1, 'us B98'],
    [1_000, 'ms C26'],
    [1_000_000, 's SEC'],
    [60_000_000, 'min MIN'],
    [3_600_000_000, 'h HUR'],
    [86_400_000_000, 'd DAY'],
  ],
  frequency: [
    [1, 'Hz HTZ'],
    [1_000, 'kHz KHZ'],
    [1_000_000, 'MHz MHZ'],
  ],
  voltage: [
    [1, 'uV'],
    [1_000, 'mV 2Z'],
    [1_000_000, 'V VLT'],
    [1_000_000_000, 'kV KVT'],
  ],
  'electric current': [
    [1, 'uA'],
    [1_000, 'mA 4K'],
    [1_000_000, 'A AMP'],
  ],
  'electric charge': [
    [1, 'mA.s'],
    [1_000, 'C A.s COU'],
    [3_600, 'mAh mA.h E09'],
    [3_600_000, 'Ah A.h AMH'],
  ],
  power: [
    [1, 'mW C31'],
    [1_000, 'W WTT'],
    [1_000_000, 'kW KWT'],
    [1_000_000_000, 'MW MAW'],
  ],
  energy: [
    [1, 'J W.s JOU'],
    [1_000, 'kJ kW.s KJO'],
    [3_600, 'Wh W.h WHR'],
    [1_000_000, 'MJ 3B'],
    [3_600_000, 'kWh kW.h KWH'],
    [3_600_000_000, 'MWh MW.h MWH'],
  ],
  illuminance: [
    [1, 'lx LUX'],
    [1_000, 'klx KLX'],
  ],
  irradiance: [[1, 'W/m2 D54']],
  volume: [
    [1, 'mL ml cm3 MLT CMQ'],
    [1_000, 'L l dm3 LTR DMQ'],
    [1_000_000, 'm3 MTQ'],
  ],
  flow: [
    [1, 'L/h l/h E32'],
    [60, 'L/min l/min L2'],
    [1_000, 'm3/h MQH'],
    [3_600, 'L/s l/s G51'],
    [60_000, 'm3/min'],
    [3_600_000, 'm3/s MQS'],
  ],
  mass: [
    [1, 'mg MGM'],
    [1_000, 'g GRM'],
    [1_000_000, 'kg KGM'],
    [1_000_000_000, 't TNE'],
  ],
  count: [[1, 'count {count} {#} H87']],
  rate: [
    [1, '1/h /h count/h {count}/h'],
    [60, '1/min /min count/min {count}/min C94'],
    [3_600, '1/s /s count/s {count}/s C97'],
  ],
  angle: [
    [1, 'deg DD'],
    [1, 'lat', { kind: 'latitude' }],
    [1, 'lon', { kind: 'longitude' }],
    [180 / Math.PI, 'rad C81'],
  ],
  conductivity: [
    [1, 'uS/cm'],
    [1_000, 'mS/cm'],
    [10_000, 'S/m D10'],
  ],
  'dose rate': [
    [1, 'nSv/h'],
    [1_000, 'uSv/h'],
    [1_000_000, 'mSv/h'],
  ],
};

/** A sender may use any text as a unit; no name in the table is nearly as long. */
const LONGEST = 32;

interface Unit {
  readonly dimension: string;
  readonly kind: string | null;
  readonly factor: number;
  readonly offset: number;
}

const UNITS: ReadonlyMap<string, Unit> = new Map(
  Object.entries(TABLE).flatMap(([dimension, lines]) =>
    lines.flatMap(([factor, names, { offset = 0, kind = null } = {}]) =>
      names.split(' ').map((name): [string, Unit] => [name, { dimension, kind, factor, offset }]),
    ),
  ),
);

/** Converts a value from one unit to another: `value × factor + offset`. */
export interface Conversion {
  readonly factor: number;
  readonly offset: number;
}

const NONE: Conversion = { factor: 1, offset: 0 };

/** The names of all units in the table. */
export const knownUnits: readonly string[] = [...UNITS.keys()];

/**
 * Returns the conversion from one unit to another. `unknown-unit`: one of the two is not in the table (a unit always
 * converts to itself); `wrong-unit`: they measure different quantities.
 */
export function convert(from: string, to: string): Conversion | 'unknown-unit' | 'wrong-unit' {
  if (from === to) return NONE;
  const [a, b] = [unitOf(from), unitOf(to)];
  if (a === undefined || b === undefined) return 'unknown-unit';
  if (a.dimension !== b.dimension || !isSameKind(a, b)) return 'wrong-unit';
  return { factor: a.factor / b.factor, offset: (a.offset - b.offset) / b.factor };
}

function isSameKind(a: Unit, b: Unit): boolean {
  return a.kind === b.kind || a.kind === null || b.kind === null;
}

/** Returns the converted value, rounded to 15 digits, or to 1e-9 where the scales have different zeros. */
export function applied({ factor, offset }: Conversion, value: number): number {
  const result = value * factor + offset;
  if (offset !== 0) return Math.round(result * 1e9) / 1e9;
  return factor === 1 ? result : Number(result.toPrecision(15));
}

/** Returns in one sentence why `convert` found no conversion. */
export function unitFault(from: string, to: string): string {
  const [a, b] = [unitOf(from), unitOf(to)];
  if (a === undefined) return `no conversion from "${from.slice(0, LONGEST)}" to ${to} is known`;
  if (b === undefined) return `no conversion from ${from} to "${to}" is known`;
  if (a.dimension === b.dimension) return `"${from}" measures ${a.kind}, ${to} measures ${b.kind}`;
  const gas = a.dimension === 'ratio' && b.dimension === 'mass concentration';
  const why = gas ? '; parts by volume become a mass only with the gas, its temperature and pressure' : '';
  return `"${from}" measures ${a.dimension}, ${to} measures ${b.dimension}${why}`;
}

/** Finds a unit also in other characters: µg/m³ (with either of the two micro signs), ℃. */
function unitOf(name: string): Unit | undefined {
  if (name.length > LONGEST) return undefined;
  return UNITS.get(name) ?? UNITS.get(name.normalize('NFKC').replaceAll('μ', 'u'));
}
