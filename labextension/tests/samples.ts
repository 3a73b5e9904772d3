/** Workspaces as the server gives them. */
import { IWorkspace } from '../src/api';
import { ISnapshot } from '../src/snapshots';

export function sample(over: Partial<IWorkspace> = {}): IWorkspace {
  return {
    id: 'a',
    owner: 'ann',
    name: 'alpha',
    type: 'persistent',
    state: 'active',
    frozen: false,
    reason: 'in use',
    allowed: ['suspend', 'stop', 'archive', 'delete'],
    next: { action: 'none', at: null, reason: '' },
    template: 'python',
    limits: {
      cpus: 2,
      memory_bytes: 2 ** 32,
      disk_bytes: 20 * 2 ** 30,
      pids: 512
    },
    policy: { retention_seconds: 30 * 86400 },
    path: 'workspaces/alpha',
    is_default: false,
    shared: false,
    execution: 'x1',
    last_activity_at: '2026-11-22T10:00:00Z',
    disk_bytes: 0,
    version: 1,
    ...over
  };
}

export function snapshot(
  version: number,
  over: Partial<ISnapshot> = {}
): ISnapshot {
  return {
    version,
    created_at: '2026-11-22T10:00:00Z',
    author: 'ann',
    message: '',
    reason: 'manual',
    files: 3,
    bytes_total: 2 ** 20,
    bytes_new: 0,
    tags: [],
    ...over
  };
}
