// Reads lines of JSON (or of doubles as 16 hex digits) and prints each in its canonical form.
import { readFileSync } from 'node:fs';
import { canonical } from '../../../sdks/verify-typescript/rhone-verify.ts';

const [kind, file] = process.argv.slice(2);
const read = (line: string) =>
  kind === 'doubles' ? Buffer.from(line, 'hex').readDoubleBE(0) : JSON.parse(line);
const out = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => canonical(read(line)));
process.stdout.write(out.join('\n') + '\n');
