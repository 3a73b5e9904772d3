/** Memory and processors of workspaces, from what the server counts. */
import { IUsed } from './api';

export interface IUsage {
  memoryBytes: number;
  /** Cores; null before the second look. */
  cpus: number | null;
}

export class UsageMeter {
  get(id: string): IUsage | undefined {
    return this._usage.get(id);
  }

  /** All that is in use, at a time in seconds. */
  take(used: IUsed[], at: number): void {
    const before = this._cpu;
    this._cpu = new Map(used.map(row => [row.id, { at, ...row }]));
    this._usage = new Map(
      used.map(row => {
        const last = before.get(row.id);
        const known =
          last && at > last.at && row.cpu_seconds >= last.cpu_seconds;
        const cpus = known
          ? (row.cpu_seconds - last.cpu_seconds) / (at - last.at)
          : null;
        return [row.id, { memoryBytes: row.memory_bytes, cpus }];
      })
    );
  }

  private _usage = new Map<string, IUsage>();
  private _cpu = new Map<string, IUsed & { at: number }>();
}
