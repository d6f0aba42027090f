// The rows as columns: distinct values once, and for every row the code of the one it has (-1 for none).

class Table {
  constructor(columns) {
    this.columns = columns;
    this.length = columns.status ? size(columns.status) : 0;
  }

  all() {
    return Array.from({ length: this.length }, (_, row) => row);
  }

  values(name) {
    return this.columns[name].values;
  }

  code(name, row) {
    const column = this.columns[name];
    return column.codes ? column.codes[row] : row;
  }

  at(name, row) {
    const column = this.columns[name];
    if (!column) return null;
    const code = this.code(name, row);
    return code < 0 ? null : column.values[code];
  }
}

function size({ values, codes }) {
  return codes ? codes.length : values.length;
}

// A column's name as a person says it.
function nameOf(column) {
  const plain = { prompt_id: "prompt", sample_idx: "sample", choice_idx: "choice", candidate_idx: "candidate" };
  return plain[column] ?? column.replace(/^(param|meta|check)_/, "").replace(/_asked$/, "").replaceAll("_", " ");
}

function wordOf(value) {
  return value === null ? "none" : value === true ? "yes" : value === false ? "no" : String(value);
}

// An element with a class, a text and attributes; text is only ever set as text.
function make(tag, className = "", text = null, attributes = {}) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}
