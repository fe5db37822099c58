import { Validator } from '@cfworker/json-schema';

/**
 * Requests that an operation must refuse, made from what the management API's own document says of
 * it and from a request that it takes: one thing of that is made wrong, all else stays good.
 */

/** The part of a JSON schema that wrong values are made from. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: unknown;
  readonly items?: Schema;
  readonly format?: string;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

export type Components = Readonly<{ schemas: Readonly<Record<string, Schema>> }>;

/** A value with one mistake in it. */
export interface Mistake {
  /** What is wrong, for whoever reads that it was not refused. */
  readonly title: string;
  readonly value: unknown;
  /** Where, as a refusal has it: `moves.0.tag`; of an unknown field its parent's and its name. */
  readonly field: string;
}

/** A name that no schema has. */
export const UNKNOWN_FIELD = 'not_a_field';

const WRONG_BY_TYPE: Readonly<Record<string, readonly unknown[]>> = {
  string: [7, true, ['text'], { text: 'text' }],
  integer: ['7', 'seven', '', true, [7], {}, -1, 0.5, 1e308],
  number: ['7', '', true, [7], {}],
  boolean: ['true', '', 0, 1, [true], {}],
  array: ['text', 7, true, {}],
  object: ['text', 7, true, []],
  null: ['text', 7, true, [], {}],
};

/** Longer than any text may be, but for those of a scanner's report, which is bounded as a whole. */
const LONG_LENGTH = 100_000;
const FREE_TEXT = /^data\.Layer\./;

/** Every way in which one place of a good value can be wrong. */
export function mistakesIn(
  schema: Schema,
  good: unknown,
  { components, at = [] }: { readonly components: Components; readonly at?: readonly string[] },
): readonly Mistake[] {
  const resolved = resolve(schema, good, components);
  const field = at.join('.');
  const wrong = wrongValuesOf(resolved, field).map((value) => ({
    title: `${field || 'body'} is ${JSON.stringify(value).slice(0, 40)}`,
    value,
    field,
  }));
  if (Array.isArray(good)) {
    return [...wrong, ...mistakesInArray(resolved, good, { components, at })];
  }
  return typeof good === 'object' && good !== null
    ? [...wrong, ...mistakesInObject(resolved, good, { components, at })]
    : wrong;
}

function mistakesInObject(
  { properties = {}, required = [], additionalProperties }: Schema,
  good: object,
  { components, at }: { readonly components: Components; readonly at: readonly string[] },
): readonly Mistake[] {
  const fields = good as Readonly<Record<string, unknown>>;
  const left = required.map((name) => ({
    title: `${[...at, name].join('.')} is missing`,
    value: Object.fromEntries(Object.entries(fields).filter(([other]) => other !== name)),
    field: [...at, name].join('.'),
  }));
  const within = Object.entries(properties).flatMap(([name, schema]) =>
    mistakesIn(schema, fields[name], { components, at: [...at, name] }).map((mistake) => ({
      ...mistake,
      value: { ...fields, [name]: mistake.value },
    })),
  );
  // A record takes any name.
  const isRecord = typeof additionalProperties === 'object' && additionalProperties !== null;
  const unknown = isRecord
    ? []
    : [UNKNOWN_FIELD, '__proto__'].map((name) => ({
        title: `${[...at, name].join('.')} is no field`,
        // As JSON has it: an own property, whatever its name.
        value: Object.fromEntries([...Object.entries(fields), [name, 1]]),
        field: [...at, name].join('.'),
      }));
  return [...left, ...within, ...unknown];
}

function mistakesInArray(
  { items = {}, minItems = 0, maxItems }: Schema,
  good: readonly unknown[],
  { components, at }: { readonly components: Components; readonly at: readonly string[] },
): readonly Mistake[] {
  const field = at.join('.');
  const [first] = good;
  const within = mistakesIn(items, first, { components, at: [...at, '0'] }).map((mistake) => ({
    ...mistake,
    value: [mistake.value, ...good.slice(1)],
  }));
  const tooFew = minItems > 0 ? [{ title: `${field} is empty`, value: [], field }] : [];
  const tooMany =
    maxItems === undefined
      ? []
      : [
          {
            title: `${field || 'body'} has more than ${maxItems} items`,
            value: Array.from({ length: maxItems + 1 }, () => first),
            field,
          },
        ];
  return [...within, ...tooFew, ...tooMany];
}

/** Numbers that no whole number of this API may be, whatever else bounds it. */
const NEVER_WHOLE: readonly unknown[] = [-1, 0.5, 1e308];

/** Values that a schema cannot take, or that the domain cannot. */
function wrongValuesOf(schema: Schema, field: string): readonly unknown[] {
  const types = typesOf(schema);
  const { minLength, maxLength, minimum, maximum, format, pattern } = schema;
  const takes = new Validator({ type: [...types] } as object, '2020-12');
  const isWrong = (value: unknown): boolean =>
    !takes.validate(value).valid || (types.includes('integer') && NEVER_WHOLE.includes(value));
  const values = types.flatMap((type) => WRONG_BY_TYPE[type] ?? []).filter(isWrong);
  const isUnbounded = maxLength === undefined && !FREE_TEXT.test(field);
  return [
    ...new Map(values.map((value) => [JSON.stringify(value), value])).values(),
    ...(types.includes('null') ? [] : [null]),
    ...(schema.enum === undefined ? [] : ['none of these']),
    ...(minLength === undefined ? [] : ['']),
    ...(maxLength === undefined ? [] : ['x'.repeat(maxLength + 1)]),
    ...(minimum === undefined ? [] : [minimum - 1]),
    ...(maximum === undefined ? [] : [maximum + 1]),
    ...(format === undefined && pattern === undefined ? [] : ['of another form']),
    ...(types.includes('string') ? ['\uD800', 'a\u0000b'] : []),
    ...(types.includes('string') && isUnbounded ? ['x'.repeat(LONG_LENGTH)] : []),
  ];
}

function typesOf({ type = [] }: Schema): readonly string[] {
  return typeof type === 'string' ? [type] : type;
}

/** A schema without references and choices: of a choice the one that takes the good value. */
function resolve(schema: Schema, good: unknown, components: Components): Schema {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.replace('#/components/schemas/', '');
    const found = components.schemas[name];
    if (found === undefined) {
      throw new Error(`the document has no schema '${name}'`);
    }
    return resolve(found, good, components);
  }
  if (schema.oneOf === undefined) {
    return schema;
  }
  const chosen = schema.oneOf.find(
    (each) => new Validator({ ...each, components } as object, '2020-12').validate(good).valid,
  );
  if (chosen === undefined) {
    throw new Error(`no choice of the schema takes ${JSON.stringify(good)}`);
  }
  return resolve(chosen, good, components);
}

/** Texts that are no value of a parameter of a query. */
export function wrongTextsOf(schema: Schema): readonly string[] {
  const { enum: options, format, pattern, minLength, maxLength, minimum, maximum } = schema;
  if (typesOf(schema).includes('integer')) {
    const outside = [(minimum ?? 1) - 1, (maximum ?? 1e9) + 1].map(String);
    const spellings = [' 5 ', '5 ', '+5', '05x', '5_0', '٥', 'Infinity', 'NaN', 'true', 'null'];
    return [
      '',
      '0',
      '-1',
      '1e9',
      '1e1',
      '0x10',
      'abc',
      '1.5',
      '1.0',
      '999999999',
      ...spellings,
      ...outside,
    ];
  }
  return [
    ...(options === undefined ? [] : ['none of these', 'TRUE', '']),
    ...(format === undefined && pattern === undefined ? [] : ['of another form', '']),
    ...(minLength === undefined ? [] : ['']),
    ...(maxLength === undefined ? [] : ['x'.repeat(maxLength + 1)]),
  ];
}
