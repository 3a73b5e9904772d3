export default {
  test: { include: ['labextension/tests/**/*.spec.ts'], environment: 'node' }
};
