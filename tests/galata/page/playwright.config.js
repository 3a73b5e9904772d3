// As JupyterLab's own configuration, with the Chromium of this machine, and without what needs Playwright's: videos.
// GALATA_URL, GALATA_CHROMIUM (program and its flags, a list) and GALATA_OUT (a directory) come from specs.py.
const [executablePath, ...args] = JSON.parse(process.env.GALATA_CHROMIUM);

module.exports = {
  testDir: 'galata/test',
  testMatch: ['**/*.test.ts', '**/*.spec.ts'],
  tsconfig: './tsconfig.json',
  outputDir: `${process.env.GALATA_OUT}/tests`,
  reporter: [
    ['list'],
    ['json', { outputFile: `${process.env.GALATA_OUT}/report.json` }]
  ],
  reportSlowTests: null,
  timeout: 60000,
  workers: 1,
  retries: 1,
  ignoreSnapshots: true,
  preserveOutput: 'failures-only',
  use: {
    baseURL: process.env.GALATA_URL,
    viewport: { width: 1024, height: 768 },
    screenshot: 'only-on-failure',
    trace: 'off',
    video: 'off',
    permissions: ['clipboard-read', 'clipboard-write'],
    launchOptions: { executablePath, args: [...args, '--disable-lcd-text'] }
  }
};
