import * as React from 'react';

/** Without it one thrown error in a render blanks the whole panel, silently. */
export class ErrorBoundary extends React.Component<
  { children: React.ReactNode; title: string },
  { error: Error | null }
> {
  state = { error: null as Error | null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  componentDidCatch(error: Error, info: React.ErrorInfo): void {
    console.error('syla-jupyter', error, info.componentStack);
  }

  render(): React.ReactNode {
    return this.state.error ? (
      <p className="syla-Error" role="alert">
        {this.props.title}: {this.state.error.message}
      </p>
    ) : (
      this.props.children
    );
  }
}
