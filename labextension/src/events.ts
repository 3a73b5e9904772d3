/**
 * The server's events over a websocket that opens itself again.
 *
 * Each connection names the last event it has, so nothing is missed that the server still keeps; its first message, the
 * *hello*, says from where on it is complete. Between two connections the wait doubles.
 */
import { ServerConnection } from '@jupyterlab/services';
import { IDisposable } from '@lumino/disposable';
import { ISignal, Signal } from '@lumino/signaling';

import { IWorkspaceEvent } from './api';
import { socketUrl } from './request';

const WAIT_MIN_MS = 1_000;
const WAIT_MAX_MS = 30_000;

export interface IEventStream extends IDisposable {
  readonly connected: boolean;
  readonly connectedChanged: ISignal<IEventStream, boolean>;
  readonly received: ISignal<IEventStream, IWorkspaceEvent>;
  /** Try now, where it waits for its next attempt. */
  connect(): void;
}

export class EventStream implements IEventStream {
  constructor(private _settings: ServerConnection.ISettings) {}

  get connected(): boolean {
    return this._connected;
  }

  get connectedChanged(): ISignal<this, boolean> {
    return this._connectedChanged;
  }

  get received(): ISignal<this, IWorkspaceEvent> {
    return this._received;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  connect(): void {
    if (this._disposed || this._socket) {
      return;
    }
    clearTimeout(this._timer);
    const query: { [name: string]: string } = this._last
      ? { last_event_id: this._last }
      : {};
    const socket = new this._settings.WebSocket(
      socketUrl(this._settings, 'events', query)
    );
    this._socket = socket;
    socket.onmessage = message => this._onMessage(String(message.data));
    socket.onclose = () => this._onClose();
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    clearTimeout(this._timer);
    this._socket?.close();
    Signal.clearData(this);
  }

  private _onMessage(text: string): void {
    let event: IWorkspaceEvent;
    try {
      event = JSON.parse(text) as IWorkspaceEvent;
    } catch {
      return;
    }
    if ('id' in event && event.id) {
      this._last = event.id;
    }
    if (event.event === 'hello') {
      this._wait = WAIT_MIN_MS;
      this._set(true);
    }
    this._received.emit(event);
  }

  private _onClose(): void {
    this._socket = null;
    if (this._disposed) {
      return;
    }
    this._set(false);
    this._timer = setTimeout(() => this.connect(), this._wait);
    this._wait = Math.min(2 * this._wait, WAIT_MAX_MS);
  }

  private _set(connected: boolean): void {
    if (connected !== this._connected) {
      this._connected = connected;
      this._connectedChanged.emit(connected);
    }
  }

  private _socket: WebSocket | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined = undefined;
  private _last = '';
  private _wait = WAIT_MIN_MS;
  private _connected = false;
  private _disposed = false;
  private _connectedChanged = new Signal<this, boolean>(this);
  private _received = new Signal<this, IWorkspaceEvent>(this);
}
