// Elements without markup: whatever a server or a file says becomes text, never HTML.

export const byId = (id) => document.getElementById(id);

/**
 * An element with attributes and children; attributes that are null and children that are null or false are left out.
 * @param {string} name
 * @param {Object<string, string|number|boolean|null>} [attributes] True stands for an attribute without a value.
 * @param {...(Node|string|null|false)} children
 */
export function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function draw(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** Text of the server's, which is English whatever the language of the page. */
export const english = (text, className = null) => make("span", { lang: "en", class: className }, text);

/** Fill a line that is read aloud; what the server says stands behind what the page says. */
export function say(line, text, detail = "", kind = "") {
  line.className = `status ${kind}`;
  line.replaceChildren(text, ...(detail ? [" ", english(detail)] : []));
}

/** A term and what is said of it, for a list of definitions. */
export const term = (name, ...said) => make("div", {}, make("dt", {}, name), make("dd", {}, ...said));
