/**
 * The schema of a level 1 report ([MS-CER2] 2.2.1.2, 2.2.1.3), and a report held to it tag by tag while it is read.
 *
 * The published text has slips; what is meant is taken. Its pattern for the system's version allows no version that
 * there is, not even its own example's: any seven or eight numbers are taken. `{0,32}` lacks its `.`. SIGNATURE and
 * FILES are described but not declared: a report has one SIGNATURE, and one FILES or none. The order of the elements is
 * free, since text and examples differ in it.
 *
 * What report-reader.ts has to find in order to read a report is not asked for again: what is required, what may be
 * there once only, and that a number is one.
 */

import { quote } from "../printable.ts";

type Type = { readonly takes: string; readonly form: RegExp };

const anyText: Type = { takes: "any text", form: /^/ };
const maxPathString: Type = { takes: "at most 256 characters on one line", form: /^[^\n\r]{0,256}$/u };
const string32: Type = { takes: "at most 32 characters on one line", form: /^[^\n\r]{0,32}$/u };
const osString: Type = {
  takes: "seven or eight numbers with dots between them",
  form: /^[0-9]+(?:\.[0-9]+){6,7}$/,
};
const lcidValue: Type = { takes: "four digits, not 0000", form: collapsed("(?!0000)[0-9]{4}") };
const reportType: Type = { takes: "0 to 4", form: collapsed("[0-4]") };
const fileType: Type = { takes: "1 to 5", form: collapsed("[1-5]") };
const parameterId: Type = { takes: "one digit", form: collapsed("[0-9]") };
const unsignedLong: Type = { takes: "a number", form: collapsed("[0-9]+") };

/** A number may have blanks round it, XML's own and no others. */
function collapsed(form: string): RegExp {
  return new RegExp(`^[ \\t\\n\\r]*${form}[ \\t\\n\\r]*$`);
}

type Rule = {
  readonly attributes: ReadonlyMap<string, Type>;
  /** How many of each there may be. Empty: nothing at all may stand between the tags. */
  readonly children: ReadonlyMap<string, Count>;
};

/** `isTold`: the reader tells of more than `most`. */
type Count = {
  readonly rule: Rule;
  readonly least?: number;
  readonly most: number;
  readonly isTold?: boolean;
};

function attributes(types: Readonly<Record<string, Type>>): Rule {
  return { attributes: new Map(Object.entries(types)), children: new Map() };
}

function children(counts: Readonly<Record<string, Count>>): Rule {
  return { attributes: new Map(), children: new Map(Object.entries(counts)) };
}

const ANY_NUMBER = Number.POSITIVE_INFINITY;
const PARAMETERS = 10;

const WERREPORT = children({
  USERINFO: { rule: attributes({ username: anyText }), most: 1, isTold: true },
  MACHINEINFO: {
    rule: attributes({ machinename: maxPathString, os: osString, lcid: lcidValue, oem: string32 }),
    most: 1,
    isTold: true,
  },
  APPLICATIONINFO: {
    rule: attributes({ appname: maxPathString, apppath: maxPathString, appcompany: maxPathString }),
    most: 1,
    isTold: true,
  },
  EVENTINFO: {
    rule: attributes({
      reporttype: reportType,
      eventtype: anyText,
      friendlyeventname: anyText,
      eventdescription: anyText,
      eventtime: unsignedLong,
    }),
    most: 1,
    isTold: true,
  },
  SIGNATURE: {
    rule: children({
      PARAMETER: {
        rule: attributes({ id: parameterId, name: anyText, value: anyText }),
        most: PARAMETERS,
      },
      SECONDARYPARAMETER: { rule: attributes({ name: anyText, value: anyText }), most: ANY_NUMBER },
    }),
    least: 1,
    most: 1,
  },
  FILES: {
    rule: children({
      FILE: { rule: attributes({ filename: maxPathString, filetype: fileType }), most: ANY_NUMBER },
    }),
    most: 1,
  },
});

/** Whose attributes any document may have, under the prefix that it binds ([XMLSCHEMA1] 2.6). */
const INSTANCE = "http://www.w3.org/2001/XMLSchema-instance";
const INSTANCE_ATTRIBUTES: ReadonlySet<string> = new Set(["schemaLocation", "noNamespaceSchemaLocation"]);

type Place = {
  readonly name: string;
  /** Null for what the schema does not know: it was told of, and what is in it does not count. */
  readonly rule: Rule | null;
  readonly counts: Map<string, number>;
  hasText: boolean;
};

/** Told of every tag and text in their order; warns of what breaks the schema, a sentence each. */
export class SchemaCheck {
  readonly #warn: (sentence: string) => void;
  readonly #open: Place[] = [];
  readonly #instancePrefixes = new Set<string>();

  constructor(warn: (sentence: string) => void) {
    this.#warn = warn;
  }

  enter(name: string, attributes: Readonly<Record<string, string>>): void {
    const rule = this.#ruleFor(name);
    this.#open.push({ name, rule, counts: new Map(), hasText: false });
    if (rule !== null) this.#checkAttributes(name, attributes, rule);
  }

  /** Character data, CDATA sections among it. */
  text(text: string): void {
    const place = this.#open.at(-1);
    if (place === undefined || place.rule === null || place.hasText) return;
    const isEmpty = place.rule.children.size === 0;
    if (!isEmpty && !/[^ \t\n\r]/.test(text)) return;
    place.hasText = true;
    this.#warn(
      isEmpty
        ? `${place.name} has text or blanks between its tags, where the schema has nothing.`
        : `${place.name} holds the text ${quote(text.trim())}, where the schema has elements only.`,
    );
  }

  leave(): void {
    const { name, rule, counts } = this.#open.pop() ?? {};
    for (const [child, { least = 0, most, isTold = false }] of rule?.children ?? []) {
      const found = counts?.get(child) ?? 0;
      if (found < least) this.#warn(`${name} has no ${child}.`);
      if (found > most && !isTold) this.#warn(`${name} has ${found} ${child} elements; the most is ${most}.`);
    }
  }

  #ruleFor(name: string): Rule | null {
    const parent = this.#open.at(-1);
    if (parent === undefined) return WERREPORT;
    if (parent.rule === null) return null;
    const known = parent.rule.children.get(name);
    if (known === undefined) {
      this.#warn(`${parent.name} holds the element ${quote(name)}, which the schema does not know there.`);
      return null;
    }
    parent.counts.set(name, (parent.counts.get(name) ?? 0) + 1);
    return known.rule;
  }

  #checkAttributes(element: string, attributes: Readonly<Record<string, string>>, rule: Rule): void {
    const entries = Object.entries(attributes);
    for (const [name, value] of entries)
      if (name.startsWith("xmlns:") && value === INSTANCE) this.#instancePrefixes.add(name.slice(6));
    for (const [name, value] of entries) {
      if (name.startsWith("xmlns:") || this.#isInstanceAttribute(name)) continue;
      const type = rule.attributes.get(name);
      if (type !== undefined) {
        if (!type.form.test(value))
          this.#warn(`${element} has ${name}=${quote(value)}; the schema takes ${type.takes}.`);
      } else if (name !== "xmlns")
        this.#warn(`${element} has the attribute ${quote(name)}, which the schema does not know.`);
      else if (value !== "")
        this.#warn(`${element} is in the namespace ${quote(value)}; the schema's elements are in none.`);
    }
  }

  #isInstanceAttribute(name: string): boolean {
    const [prefix = "", local] = name.split(":");
    return local !== undefined && this.#instancePrefixes.has(prefix) && INSTANCE_ATTRIBUTES.has(local);
  }
}
