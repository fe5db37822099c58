/**
 * Makes the folder of static files that are served beside the Worker: those of `assets/`, and of the
 * renderer of the API's reference those that its page loads. wrangler runs this before it serves or
 * deploys.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const RENDERER = path.join(ROOT, 'node_modules/swagger-ui-dist');

/** Under `/docs/`; its own page and settings are not among them, they ask for another host. */
const RENDERER_FILES = [
  'LICENSE',
  'NOTICE',
  'favicon-32x32.png',
  'index.css',
  'swagger-ui-bundle.js',
  'swagger-ui-bundle.js.LICENSE.txt',
  'swagger-ui.css',
];

const directory = path.join(ROOT, 'dist/assets');
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
cpSync(path.join(ROOT, 'assets'), directory, { recursive: true });
for (const file of RENDERER_FILES) {
  cpSync(path.join(RENDERER, file), path.join(directory, 'docs', file));
}
