/**
 * Has a linter judge the document of the management API, as the app itself makes it, by the rules in
 * `redocly.yaml`. Exit code 1 if it finds anything.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { managementRoutes } from '../src/http/management/api.ts';
import { NODE, ROOT, run } from './child.mjs';

const answer = await managementRoutes().request('/openapi.json');
assert.equal(answer.status, 200);
const file = path.join(ROOT, 'dist/openapi.json');
mkdirSync(path.dirname(file), { recursive: true });
writeFileSync(file, await answer.text());

process.exitCode = await run(NODE, ['node_modules/@redocly/cli/bin/cli.js', 'lint', file], {
  // It would tell its makers of each run, and ask them for a newer version.
  env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
});
