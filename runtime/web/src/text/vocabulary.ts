/** Tokens and their ids. */

export class Vocabulary {
  private texts: Map<number, string> | null = null; // made when it is first asked for

  constructor(private readonly ids: ReadonlyMap<string, number>) {}

  get size(): number {
    return this.ids.size;
  }

  id(token: string): number | undefined {
    return this.ids.get(token);
  }

  text(id: number): string | undefined {
    if (this.texts === null) {
      this.texts = new Map();
      for (const [token, known] of this.ids) this.texts.set(known, token);
    }
    return this.texts.get(id);
  }

  /** Calls `take` with each token and its id. */
  forEach(take: (token: string, id: number) => void): void {
    this.ids.forEach((id, token) => take(token, id));
  }
}
