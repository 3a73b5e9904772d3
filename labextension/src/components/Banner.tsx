import { ReactWidget } from '@jupyterlab/ui-components';
import { Message, MessageLoop } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import * as React from 'react';

/** Why somebody cannot do all with what is below it, and what to do; where there is nothing to say, it takes no room. */
export class Banner extends ReactWidget {
  constructor(private _action: { label: string; onClick: () => void }) {
    super();
    this.addClass('syla-Banner');
    this.hide();
  }

  /** `offered`: whether the button is there. */
  say(words: string, offered: boolean): void {
    this._words = words;
    this._offered = offered;
    this.setHidden(!words);
    this.update();
  }

  protected render(): JSX.Element {
    return (
      <p role="status">
        <span>{this._words}</span>
        {this._offered && (
          <button className="jp-mod-styled" onClick={this._action.onClick}>
            {this._action.label}
          </button>
        )}
      </p>
    );
  }

  protected onUpdateRequest(message: Message): void {
    super.onUpdateRequest(message);
    void this.renderPromise?.then(() => this._fitWords());
  }

  protected onResize(message: Widget.ResizeMessage): void {
    super.onResize(message);
    this._fitWords();
  }

  /** Its layout asks for a height, and knows nothing of lines that wrap. */
  private _fitWords(): void {
    const height = this.node.querySelector('p')?.offsetHeight ?? 0;
    const wanted = `${height}px`;
    if (this.isVisible && height && this.node.style.minHeight !== wanted) {
      this.node.style.minHeight = wanted;
      if (this.parent) {
        MessageLoop.postMessage(this.parent, Widget.Msg.FitRequest);
      }
    }
  }

  private _words = '';
  private _offered = false;
}
