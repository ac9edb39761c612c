#include "pipeline/report/page/page.h"

#include "version.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--paper:#fff;--ink:#1b1f24;--faint:#56606b;--line:#d9dee4;--band:#f4f6f8;--mark:#e4f3ea;--warn:#"
    "fdf1dc;--link:#1d5fc4;--bar:#cfe0f8}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e4e7eb;--faint:#9aa4b0;--line:#333a43;--"
    "band:#1c2026;--mark:#173226;--warn:#3a2d12;--link:#7fb0ff;--bar:#1f3d66}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:72rem;padding:1.5rem 1.25rem "
    "4rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}\n"
    "h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid "
    "var(--line);overflow-wrap:anywhere}\n"
    "h3{font-size:1rem;margin:1.5rem 0 .25rem}\n"
    "p,ul,ol{margin:.5rem 0}\n"
    "a{color:var(--link)}\n"
    "code{font-size:.92em;overflow-wrap:anywhere}\n"
    ".lead,.note,figcaption,footer{color:var(--faint)}\n"
    ".verdict{background:var(--mark);border-radius:6px;padding:.4rem 1rem;font-size:1.05rem}\n"
    ".verdict p{margin:.3rem 0;overflow-wrap:anywhere}.verdict .wide tbody "
    "tr>:first-child.text{background:none}.verdict tbody tr:hover{background:none}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,31rem),1fr));gap:0 1.5rem}\n"
    "figure{margin:1rem 0;break-inside:avoid}\n"
    "figure>div>svg{width:100%;height:auto;max-width:46rem;display:block;overflow:visible}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;list-style:none;padding:0;margin:.3rem "
    "0;font-size:.87rem}.legend "
    "svg{display:inline-block;width:30px;max-width:30px;height:12px;vertical-align:-1px}.legend "
    "li{overflow-wrap:anywhere}\n"
    "figcaption,.note{font-size:.87rem}\n"
    ".wide{overflow-x:auto}\n"
    "table{border-collapse:collapse;font-size:.87rem;margin:.5rem 0;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\n"
    "thead th{vertical-align:bottom}\n"
    "tbody th{font-weight:normal}\n"
    ".text,.facts th{text-align:left}\n"
    ".facts td{text-align:left;white-space:normal;overflow-wrap:anywhere}\n"
    ".facts th{color:var(--faint)}\n"
    "small{color:var(--faint);font-size:.92em}\n"
    "td.bar{background:linear-gradient(90deg,var(--bar) var(--share),transparent "
    "var(--share));min-width:5.5rem}\n"
    "tbody tr:hover{background:var(--band)}\n"
    "tr.best{background:var(--mark)}\n"
    ".wide tbody tr>:first-child.text{position:sticky;left:0;background:var(--paper)}\n"
    ".wide tr.best>:first-child.text{background:var(--mark)}\n"
    "th button{all:unset;cursor:pointer;font-weight:600}\n"
    "th button:focus-visible,summary:focus-visible{outline:2px solid var(--link)}\n"
    "th[aria-sort] button::after{content:\" \\2191\"}\n"
    "th[aria-sort=descending] button::after{content:\" \\2193\"}\n"
    "details{border-bottom:1px solid var(--line)}\n"
    "summary{cursor:pointer;padding:.3rem 0;overflow-wrap:anywhere}\n"
    ".warning{background:var(--warn);padding:.5rem .75rem;border-radius:4px}\n"
    "footer{margin-top:3rem;font-size:.87rem}\n"
    "@media(max-width:40rem){body{padding:1rem .75rem 3rem}th,td{padding:.25rem .4rem}.wide tbody "
    "tr>:first-child.text{max-width:46vw;white-space:normal;overflow-wrap:anywhere}.facts "
    "th{white-space:normal;overflow-wrap:anywhere}}\n"
    "@media "
    "print{:root{--paper:#fff;--ink:#000;--faint:#444;--line:#bbb;--band:#fff;--mark:#e9f4ed;--warn:#fdf1dc;-"
    "-link:#000;--bar:#cfe0f8}body{max-width:none;padding:0;font-size:10pt;print-color-adjust:exact;-webkit-"
    "print-color-adjust:exact}.wide{overflow:visible}table{font-size:8pt}th,td{padding:.15rem "
    ".35rem;white-space:normal}.plots{grid-template-columns:1fr "
    "1fr}.legend,figcaption{font-size:8pt}.verdict{font-size:10pt}details:not([open]),.screen{display:none}"
    "h2,h3{break-after:avoid}tr,.verdict{break-"
    "inside:avoid}.wide tbody tr>:first-child.text{position:static}}\n";

// Sorts by the number in data-value, or in the text; by the text where there is no number. Cells without a
// value go last.
static const char script[] =
    "for(const table of document.querySelectorAll('table.sortable')){\n"
    " const heads=[...table.tHead.rows[0].cells],body=table.tBodies[0];\n"
    " const value=(row,i)=>{const c=row.cells[i],v=parseFloat(c.dataset.value??c.textContent);\n"
    "  return c.classList.contains('text')?c.textContent:v};\n"
    " heads.forEach((head,i)=>head.addEventListener('click',()=>{\n"
    "  const down=head.getAttribute('aria-sort')==='ascending';\n"
    "  heads.forEach(h=>h.removeAttribute('aria-sort'));\n"
    "  head.setAttribute('aria-sort',down?'descending':'ascending');\n"
    "  const rows=[...body.rows].map(r=>[value(r,i),r]);\n"
    "  rows.sort(([a],[b])=>{\n"
    "   if(typeof a==='string')return a.localeCompare(b,undefined,{numeric:true})*(down?-1:1);\n"
    "   if(isNaN(a)||isNaN(b))return isNaN(a)-isNaN(b);\n"
    "   return(a-b)*(down?-1:1)});\n"
    "  body.append(...rows.map(r=>r[1]))}))}\n";

void html_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc((unsigned char)*text < ' ' && *text != '\n' && *text != '\t' ? ' ' : *text, out);
        }
}

void html_begin(FILE *out, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
          out);
    html_text(out, title);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", style);
    html_text(out, title);
    fputs("</h1>\n", out);
}

void html_end(FILE *out)
{
    fprintf(out, "%s%s.</footer>\n<script>\n%s</script>\n</body>\n</html>\n", PAGE_MARK, COPPICE_VERSION,
            script);
}
