// Shows page.html in a frame of each width and writes down what is wrong with what is seen.
const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
const luminance = (color) => {
  const part = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  return 0.2126 * part(color[0]) + 0.7152 * part(color[1]) + 0.0722 * part(color[2]);
};
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
};
// What is behind an element: the first of those around it that is painted.
const behind = (view, element) => {
  for (let e = element; e; e = e.parentElement) {
    const color = rgb(view.getComputedStyle(e).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
const shown = (text) => text.trim().replace(/\s+/g, " ");
const what = (element) => `${element.tagName} "${shown(element.textContent).slice(0, 40)}"`;

function measure(view, width) {
  const doc = view.document;
  doc.querySelectorAll("details").forEach((details) => { details.open = true; });
  const found = { width, wide: [], overlapping: [], outside: [], pale: [], tiny: [], fetched: [], texts: 0 };
  const root = doc.documentElement;
  if (root.scrollWidth > root.clientWidth) found.wide.push(`${root.scrollWidth} of ${root.clientWidth}`);
  for (const svg of doc.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()]);
    found.texts += texts.length;
    texts.forEach(([text, box], at) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        found.outside.push(what(text));
      const size = parseFloat(view.getComputedStyle(text).fontSize) * frame.width / svg.viewBox.baseVal.width;
      if (size < MIN_TEXT) found.tiny.push(`${what(text)}: ${size}`);
      for (const [other, box2] of texts.slice(at + 1)) {
        const across = Math.min(box.right, box2.right) - Math.max(box.left, box2.left);
        const down = Math.min(box.bottom, box2.bottom) - Math.max(box.top, box2.top);
        if (across > 1 && down > 2) found.overlapping.push(`${what(text)} and ${what(other)}`);
      }
    });
  }
  for (const element of doc.body.querySelectorAll("*")) {
    if (["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const style = view.getComputedStyle(element);
    const ink = rgb(element.tagName === "text" ? style.fill : style.color);
    const ratio = contrast(ink, behind(view, element));
    if (!(ratio >= 4.5)) found.pale.push(`${what(element)}: ${ratio.toFixed(2)}`);
    if (!element.closest("svg")) found.texts += 1;
  }
  found.fetched = view.performance.getEntriesByType("resource").map((entry) => entry.name);
  const keys = [...doc.querySelectorAll("#rows thead th")].map((th) => th.dataset.key);
  found.rows = [...doc.querySelectorAll("#rows tbody tr")].map((tr) => {
    const cells = [...tr.children].map((cell, at) => [keys[at], cell.dataset.value, shown(cell.textContent)]);
    return cells.filter(([key]) => key !== undefined);
  });
  found.same = [...doc.querySelectorAll("span[data-key]")].map((span) => [span.dataset.key, span.dataset.value]);
  found.charts = doc.querySelectorAll("figure svg[role=img][aria-label]").length;
  found.figures = doc.querySelectorAll("figure").length;
  found.headings = [...doc.querySelectorAll("h1, h2")].map((h) => shown(h.textContent));
  found.markup = doc.querySelectorAll("b.planted, i.planted").length;
  const data = doc.querySelector("script[type='application/json']");
  found.data = data && data.textContent.trim();
  return found;
}

const MIN_TEXT = 10;
const all = [];
let left = WIDTHS.length;
WIDTHS.forEach((width, at) => {
  const frame = document.createElement("iframe");
  frame.style.cssText = `border:0;width:${width}px;height:900px`;
  frame.onload = () => {
    all[at] = measure(frame.contentWindow, width);
    left -= 1;
    if (left === 0) document.getElementById("found").textContent = JSON.stringify(all);
  };
  frame.src = "page.html";
  document.body.append(frame);
});
