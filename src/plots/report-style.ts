/** The report's style: system fonts, light and dark by the reader's own setting, nothing from the network. */
export const reportStyle = `
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2129; --soft: #5d6675; --line: #dfe3ea; --card: #f6f7f9; --yes: #137a4b; --no: #a8480a; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e4e8ee; --soft: #9aa4b4; --line: #2d333d; --card: #1c2128; --yes: #54c78f; --no: #f0975a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--line); }
p { max-width: 75ch; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 1rem; margin: 1.25rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.card h3 { margin: 0 0 .35rem; font-size: 1rem; }
.card p { margin: .35rem 0 0; font-size: .92rem; }
.yes { color: var(--yes); } .no { color: var(--no); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 1.5rem; align-items: start; }
figure { margin: 0; min-width: 0; } figure.wide { grid-column: 1 / -1; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; display: block; }
figcaption { margin-top: .35rem; max-width: 75ch; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.chosen td { font-weight: 650; }
.scroll { overflow-x: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; font-size: .9rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
`.trim()
