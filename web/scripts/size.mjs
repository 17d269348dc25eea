// Fail when the built page is heavier than its budgets: gzip -9, in KB of 1000 B.
// "first" is what the first picture needs: the page, its style, and the entry's static imports;
// the rest is fetched when it is asked for; icons only by whoever installs the page.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const FIRST_KB = 100;
const ALL_KB = 180;
const root = new URL('../../src/liqheat/serve/static/', import.meta.url).pathname;
const files = readdirSync(root, { recursive: true })
  .map((name) => join(root, String(name)))
  .filter((path) => statSync(path).isFile() && !path.endsWith('.png'));

/** Files named by the page itself, and what their scripts import statically. */
function firstLoad() {
  const wanted = new Set(['index.html']);
  const html = readFileSync(join(root, 'index.html'), 'utf8');
  const queue = [...html.matchAll(/(?:src|href)="\.\/([^"]+\.(?:js|css))"/g)].map((match) => match[1]);
  for (const name of queue) {
    if (wanted.has(name)) continue;
    wanted.add(name);
    if (!name.endsWith('.js')) continue;
    const code = readFileSync(join(root, name), 'utf8');
    for (const match of code.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)) queue.push(`assets/${basename(match[1])}`);
  }
  return wanted;
}

const first = firstLoad();
let total = 0;
let start = 0;
for (const path of files) {
  const name = path.slice(root.length);
  const size = gzipSync(readFileSync(path), { level: 9 }).length / 1000;
  total += size;
  if (first.has(name)) start += size;
  console.log(`${size.toFixed(1).padStart(7)} KB  ${first.has(name) ? 'first' : '     '}  ${name}`);
}
console.log(`${start.toFixed(1).padStart(7)} KB  first load, budget ${FIRST_KB} KB`);
console.log(`${total.toFixed(1).padStart(7)} KB  all, budget ${ALL_KB} KB`);
if (files.length === 0 || start > FIRST_KB || total > ALL_KB) process.exit(1);
