/** Fields of a dialog. */
import { ReactWidget } from '@jupyterlab/ui-components';

const FIELDS =
  'input:enabled, select:enabled, textarea:enabled, button:enabled';
const BUTTONS = '.jp-Dialog-footer button';

/**
 * Tab goes from a dialog's last button to its first field. JupyterLab looks for that before React has drawn any: what it
 * finds is the body itself, which hands on what it is given.
 */
export abstract class DialogBody extends ReactWidget {
  constructor() {
    super();
    this.addClass('syla-Dialog');
    this.node.tabIndex = -1;
    this.node.addEventListener('focus', event => {
      // Not where somebody clicks beside the fields.
      if (event.relatedTarget instanceof HTMLButtonElement) {
        this._first?.focus();
      }
    });
    this.node.addEventListener('focusin', ({ target }) => {
      this._last = target === this.node ? null : (target as HTMLElement);
    });
  }

  /** To be called when a field in use may have been switched off, and is on again, or has gone: without the focus in it
   * a dialog hears no key. */
  protected regainFocus(): void {
    if (this.isAttached && document.activeElement === document.body) {
      (this._last?.isConnected ? this._last : this._first)?.focus();
    }
  }

  private get _first(): HTMLElement | null | undefined {
    return (
      this.node.querySelector<HTMLElement>(FIELDS) ??
      this.node.parentElement?.querySelector<HTMLElement>(BUTTONS)
    );
  }

  private _last: HTMLElement | null = null;
}
