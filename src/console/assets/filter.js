// The filter of the fleet: terms between spaces, all of which must hold.
//   site=lund          the label has this value (`*` stands for any text, a comma for "or")
//   site!=lund         it has another value, or the node lacks the label
//   state=failed       also id, reason, retired; label.state=… is a label of that name
//   desired>44         positions: desired and running, with = != < <= > >=
//   text   -text       the text stands, or does not stand, in the id, a label or the reason

const TERM = /^(-?)([A-Za-z0-9_.\/-]+?)(!=|<=|>=|=|<|>)(.*)$/s;
const TEXTS = { id: (row) => row.id, state: (row) => row.state, reason: reasonText, retired: (row) => String(row.retired) };
const NUMBERS = { desired: (row) => row.desired, running: (row) => row.running };

function reasonText(row) {
  return row.reason ? `${row.reason.code} ${row.reason.detail}` : "";
}

/** Splits a filter into terms. Double quotes keep spaces together. */
export function terms(text) {
  const found = [];
  let term = "";
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    else if (!quoted && /\s/.test(character)) {
      if (term) found.push(term);
      term = "";
    } else term += character;
  }
  if (term) found.push(term);
  return found;
}

/**
 * Reads a filter.
 * @param {string} text
 * @returns {{test: (row: object) => boolean, problems: string[], keys: string[], retired: boolean}} `keys` are the labels that
 *   it asks for, and `retired` whether it says anything of retired nodes: without that they are not shown
 */
export function parseFilter(text) {
  const tests = [];
  const problems = [];
  const keys = [];
  let retired = false;
  for (const term of terms(text)) {
    const parts = TERM.exec(term);
    if (!parts || parts[1]) {
      tests.push(textTest(term));
      continue;
    }
    const [, , key, operator, value] = parts;
    retired ||= key === "retired";
    if (key in NUMBERS) tests.push(numberTest(key, operator, value, problems));
    else if (operator === "=" || operator === "!=") tests.push(valueTest(key, operator, value, keys));
    else problems.push(`${key} has no order: use = or != with it`);
  }
  const test = (row) => {
    if (row.retired && !retired) return false;
    for (const each of tests) if (!each(row)) return false;
    return true;
  };
  return { test, problems, keys, retired };
}

function textTest(term) {
  const negative = term.length > 1 && term.startsWith("-");
  const wanted = (negative ? term.slice(1) : term).toLowerCase();
  return (row) => searchText(row).includes(wanted) !== negative;
}

// Rows with the same labels share one object, so the text of the labels is made once for all of them.
const labelTexts = new WeakMap();

function searchText(row) {
  return `${row.id}\n${labelText(row.labels)}\n${row.state}\n${reasonText(row)}`.toLowerCase();
}

/** Labels as one line: `role=daq site=lund`. */
export function labelText(labels) {
  let text = labelTexts.get(labels);
  if (text === undefined) {
    text = Object.keys(labels).sort().map((key) => `${key}=${labels[key]}`).join(" ");
    labelTexts.set(labels, text);
  }
  return text;
}

function numberTest(key, operator, value, problems) {
  const wanted = Number(value);
  if (value === "" || !Number.isInteger(wanted)) {
    problems.push(`${key} is compared with a position, a whole number`);
    return () => true;
  }
  const read = NUMBERS[key];
  const compare = {
    "=": (a) => a === wanted, "!=": (a) => a !== wanted, "<": (a) => a < wanted,
    "<=": (a) => a <= wanted, ">": (a) => a > wanted, ">=": (a) => a >= wanted,
  }[operator];
  return (row) => compare(read(row));
}

function valueTest(key, operator, value, keys) {
  const fits = alternatives(value);
  const wanted = operator === "=";
  if (key in TEXTS) {
    const read = TEXTS[key];
    return (row) => fits(read(row)) === wanted;
  }
  const label = key.startsWith("label.") ? key.slice("label.".length) : key;
  keys.push(label);
  return (row) => {
    const has = Object.hasOwn(row.labels, label);
    return (has && fits(row.labels[label])) === wanted;
  };
}

function alternatives(value) {
  const patterns = value.split(",").map(pattern);
  return (text) => patterns.some((each) => each(text));
}

function pattern(wanted) {
  if (!wanted.includes("*")) return (text) => text === wanted;
  const escaped = wanted.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
  const expression = new RegExp(`^${escaped}$`, "s");
  return (text) => expression.test(text);
}

/** The filter with one term for `key` in place of those that it has; without any if `value` is empty. */
export function withTerm(text, key, value) {
  const rest = terms(text).filter((term) => TERM.exec(term)?.[2] !== key).map(quote);
  return [...(value ? [`${key}=${value}`] : []), ...rest].join(" ");
}

function quote(term) {
  return /\s/.test(term) ? `"${term}"` : term;
}

/** The value of the first term `key=value`, or an empty text. */
export function termValue(text, key) {
  for (const term of terms(text)) {
    const parts = TERM.exec(term);
    if (parts && parts[2] === key && parts[3] === "=") return parts[4];
  }
  return "";
}
