// Fail when the built page is heavier than its budget: all files, gzip -9, in KB of 1000 B.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const BUDGET_KB = 100;
const root = new URL('../../src/liqheat/serve/static/', import.meta.url).pathname;
const files = readdirSync(root, { recursive: true })
  .map((name) => join(root, String(name)))
  .filter((path) => statSync(path).isFile());
let total = 0;
for (const path of files) {
  const size = gzipSync(readFileSync(path), { level: 9 }).length / 1000;
  total += size;
  console.log(`${size.toFixed(1).padStart(7)} KB  ${path.slice(root.length)}`);
}
console.log(`${total.toFixed(1).padStart(7)} KB  total, budget ${BUDGET_KB} KB`);
if (files.length === 0 || total > BUDGET_KB) process.exit(1);
