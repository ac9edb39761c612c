#include "pipeline/report/page.h"

#include "version.h"

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--faint:#5c6570;--line:#d9dee4;--band:#f4f6f8;"
    "--mark:#e4f3ea;--warn:#fdf1dc;--link:#1d5fc4}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e4e7eb;--faint:#9aa4b0;--line:#333a43;"
    "--band:#1c2026;--mark:#173226;--warn:#3a2d12;--link:#7fb0ff}}\n"
    "body{margin:0 auto;max-width:68rem;padding:1.5rem 1.25rem 4rem;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2.5rem 0 .5rem;padding-top:.75rem;"
    "border-top:1px solid var(--line)}h3{font-size:1rem}\n"
    "a{color:var(--link)}code{font-size:.92em;overflow-wrap:anywhere}.lead,.note,figcaption,footer{color:var("
    "--"
    "faint)}\n"
    "figure{margin:1rem 0}figure svg{width:100%;height:auto;max-width:860px;display:block;overflow:visible}\n"
    "figcaption,.note{font-size:.87rem}.wide{overflow-x:auto}\n"
    "table{border-collapse:collapse;font-size:.87rem;margin:.75rem 0;font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\n"
    ".text,.facts th{text-align:left}.facts "
    "td{white-space:normal;"
    "overflow-wrap:anywhere}.facts th{font-weight:normal;color:var(--faint)}\n"
    "tbody tr:hover{background:var(--band)}tr.best{background:var(--mark)}\n"
    "th button{all:unset;cursor:pointer;font-weight:600}th button:focus-visible{outline:2px solid "
    "var(--link)}\n"
    "th[aria-sort] button::after{content:\" \\2191\"}th[aria-sort=descending] button::after{content:\" "
    "\\2193\"}\n"
    "details{border-bottom:1px solid var(--line)}summary{cursor:pointer;padding:.3rem 0}\n"
    ".warning{background:var(--warn);padding:.5rem "
    ".75rem;border-radius:4px}footer{margin-top:3rem;font-size:.87rem}\n";

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
            fputc(*text, out);
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
    fprintf(out, "<footer>Made by coppice %s.</footer>\n<script>\n%s</script>\n</body>\n</html>\n",
            COPPICE_VERSION, script);
}
