// What is wrong with a page as it is shown: functions for the tests, evaluated inside the browser. Each returns a list of complaints.
({
  overflow() {
    const wide = document.documentElement.clientWidth;
    const wrong = document.documentElement.scrollWidth > wide ? [`the page is ${document.documentElement.scrollWidth} px wide of ${wide}`] : [];
    for (const element of document.body.querySelectorAll("*")) {
      if (element.parentElement.closest(".scroll, pre, [popover]") || !element.checkVisibility()) continue;
      const box = element.getBoundingClientRect();
      if (box.width && (box.right > wide + 0.5 || box.left < -0.5)) wrong.push(`${look.name(element)} reaches from ${box.left} to ${box.right} of ${wide}`);
    }
    return wrong;
  },

  images() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return [...document.images].flatMap((image) => {
      const source = image.closest("picture")?.querySelector("source");
      if (!image.complete || !image.naturalWidth) return [`${look.name(image)} is not loaded`];
      if (image.currentSrc !== (dark && source ? source.srcset : image.src)) return [`${look.name(image)} is of the other theme`];
      return image.alt ? [] : [`${look.name(image)} has no words`];
    });
  },

  // WCAG 2 AA: 4.5 for text, 3 for large text (24 px, or 18.66 px bold).
  contrast() {
    const wrong = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const style = getComputedStyle(element), size = parseFloat(style.fontSize);
      const paper = look.paper(element), ink = look.over(look.rgba(style.color), paper);
      const ratio = look.ratio(ink, paper), needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
      if (ratio < needed) wrong.push(`${look.name(element)}: contrast ${ratio.toFixed(2)} of ${needed}`);
    }
    return wrong;
  },

  // A box that hides a part of its table says so, and one that does not is silent.
  hints() {
    return [...document.querySelectorAll(".scroll")].filter((box) => box.checkVisibility()).flatMap((box) => {
      const hides = box.scrollWidth > box.clientWidth + 1, says = box.querySelector(".hint")?.checkVisibility() ?? false;
      return hides === says ? [] : [`${look.name(box)} ${hides ? "hides a part and does not say so" : "says it hides a part"}`];
    });
  },

  name(element) {
    const words = (element.textContent || element.alt || "").trim().replace(/\s+/g, " ").slice(0, 40);
    return `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}"> ${words}`;
  },

  paper(element) {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(look.rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => look.over(layer, below), [255, 255, 255, 1]);
  },

  rgba(text) {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    if (!/^rgba?\(/.test(text)) throw new Error(`cannot read the colour ${text}`);
    return [r, g, b, a];
  },

  over([r, g, b, a], below) {
    return [r, g, b].map((value, i) => value * a + below[i] * (1 - a)).concat(1);
  },

  ratio(one, two) {
    const [light, dark] = [one, two].map(look.luminance).sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  },

  luminance(colour) {
    const [r, g, b] = colour.map((value) => value / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  },
});
