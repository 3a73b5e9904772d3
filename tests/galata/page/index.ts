// What the specs import as `@jupyterlab/galata`: its sources, but for the reporter of its benchmarks, which draws charts.
export { expect } from '@playwright/test';
export * from './galata/src/extension';
export * from './galata/src/fixtures';
export * from './galata/src/galata';
export * from './galata/src/jupyterlabpage';
