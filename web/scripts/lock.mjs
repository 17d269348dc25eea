// Strip what names a host from package-lock.json; run after every `npm install`.
// The integrity hashes stay: `npm ci` takes the packages from whichever registry is set.
import { readFileSync, writeFileSync } from 'node:fs';

const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));
for (const entry of Object.values(lock.packages)) {
  delete entry.resolved;
  delete entry.funding;
}
const text = `${JSON.stringify(lock, null, 2)}\n`;
if (/https?:\/\//.test(text)) throw new Error('package-lock.json still names a host');
writeFileSync(path, text);
