/** The only place that talks HTTP: address, token, XSRF, and what a refusal says. */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

const ROOT = 'syla/v1';

/** Codes of our own, beside those that the server gives. */
export const UNREACHABLE = 'unreachable';
export const SERVER_MISSING = 'server_missing';
export const SERVER_OLDER = 'server_older';

/** What the server said when it refused, or that it was not there to say anything. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint = '',
    readonly status = 0,
    readonly field: string | null = null,
    /** The same may go well a little later. */
    readonly retryable = false
  ) {
    super(message);
  }
}

/**
 * `path` is below `/syla/v1`, its parts encoded; one that begins with `/` is not. Rejects with an `ApiError`.
 *
 * Requests that nobody clicked for (`background`) do not count as activity of the server.
 */
export async function request<T>(
  settings: ServerConnection.ISettings,
  path: string,
  init: RequestInit = {},
  background = false
): Promise<T> {
  const [response, text] = await asked(
    settings,
    path,
    init,
    background,
    answer => answer.text()
  );
  const body = parsed(text);
  if (response.ok && (body !== undefined || !text)) {
    return body as T;
  }
  throw refusal(response, body);
}

/** The same for what is answered as a file. */
export async function requestFile(
  settings: ServerConnection.ISettings,
  path: string,
  init: RequestInit
): Promise<Blob> {
  const [response, blob] = await asked(settings, path, init, false, answer =>
    answer.blob()
  );
  const type = response.headers.get('Content-Type') ?? '';
  if (response.ok && !type.startsWith('text/html')) {
    return blob;
  }
  throw refusal(response, parsed(await blob.text()));
}

export function asJson(method: string, body: object): RequestInit {
  return {
    method,
    body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json' }
  };
}

async function asked<T>(
  settings: ServerConnection.ISettings,
  path: string,
  init: RequestInit,
  background: boolean,
  read: (response: Response) => Promise<T>
): Promise<[Response, T]> {
  const root = path.startsWith('/') ? '' : ROOT;
  let url = URLExt.join(settings.baseUrl, root, path);
  if (background) {
    url += `${url.includes('?') ? '&' : '?'}no_track_activity=1`;
  }
  try {
    const response = await ServerConnection.makeRequest(url, init, settings);
    return [response, await read(response)];
  } catch (reason) {
    const message = String((reason as Error).message);
    throw new ApiError(UNREACHABLE, message, '', 0, null, true);
  }
}

function refusal(response: Response, body: unknown): ApiError {
  const said = (body as { error?: Partial<ApiError> } | undefined)?.error;
  if (typeof said?.code === 'string') {
    return new ApiError(
      said.code,
      String(said.message ?? response.statusText),
      String(said.hint ?? ''),
      response.status,
      said.field ?? null,
      said.retryable === true
    );
  }
  // Whatever answers there, it is not us: Jupyter's own page of what it cannot find, or of its login.
  const code = [200, 404].includes(response.status)
    ? SERVER_MISSING
    : UNREACHABLE;
  return new ApiError(code, response.statusText, '', response.status);
}

/** Address of a websocket below `/syla/v1`. */
export function socketUrl(
  settings: ServerConnection.ISettings,
  path: string,
  query: { [name: string]: string }
): string {
  const all = { ...query };
  if (settings.appendToken && settings.token) {
    all['token'] = settings.token;
  }
  return (
    URLExt.join(settings.wsUrl, ROOT, path) + URLExt.objectToQueryString(all)
  );
}

function parsed(text: string): unknown {
  try {
    return text ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
