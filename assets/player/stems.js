// Several sounds in step. Some of them add up to the mixture sample by sample, so the mixture is all of these
// at once: every switch is a change of gains, and nothing ever has to start again.
const RAMP_S = 0.01;
const LEAD_S = 0.02; // both sounds are told to start a moment ahead, so that they start together
const FADE_S = 0.005; // at the edges of what is played, against clicks

class Stems {
  constructor(ended) {
    this.ended = ended;
    this.context = null;
    this.reset();
  }

  reset() {
    if (this.take) this.pause();
    this.take = null;
    this.buffers = [];
    this.loading = (this.loading ?? 0) + 1;
    this.position_s = 0;
    this.region = null;
    this.plays = []; // numbers of the sounds that are heard
    this.levels_db = [];
  }

  async load(urls) {
    this.reset();
    const loading = this.loading;
    this.context ??= new AudioContext();
    const buffers = await Promise.all(urls.map(async (url) => {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      return this.context.decodeAudioData(await answer.arrayBuffer());
    }));
    if (loading === this.loading) this.buffers = buffers; // else another result came in between
    return loading === this.loading;
  }

  get ready() { return this.buffers.length > 0; }
  get playing() { return this.take !== null; }
  get duration_s() { return this.ready ? this.buffers[0].duration : 0; }

  // Where the playhead is.
  get now_s() {
    if (!this.take) return this.position_s;
    const reached = this.take.from_s + Math.max(0, this.context.currentTime - this.take.began);
    if (!this.region || reached < this.region.end_s) return Math.min(reached, this.duration_s);
    const { start_s, end_s } = this.region;
    return start_s + (reached - start_s) % (end_s - start_s);
  }

  gain(stem) {
    return this.plays.includes(stem) ? 10 ** ((this.levels_db[stem] ?? 0) / 20) : 0;
  }

  play() {
    if (!this.ready || this.take) return;
    this.context.resume();
    const out = this.context.createGain();
    out.connect(this.context.destination);
    const began = this.context.currentTime + LEAD_S;
    const last_s = this.duration_s - 0.01;
    let from_s = this.position_s > last_s ? 0 : this.position_s;
    if (this.region && (from_s < this.region.start_s || from_s >= this.region.end_s)) from_s = this.region.start_s;
    const stems = this.buffers.map((buffer, stem) => {
      const source = new AudioBufferSourceNode(this.context, { buffer });
      const gain = new GainNode(this.context, { gain: this.gain(stem) });
      source.connect(gain).connect(out);
      if (this.region) Object.assign(source, { loop: true, loopStart: this.region.start_s, loopEnd: this.region.end_s });
      source.start(began, from_s);
      return { source, gain };
    });
    out.gain.setValueAtTime(0, began);
    out.gain.linearRampToValueAtTime(1, began + FADE_S);
    const take = { out, stems, began, from_s };
    stems[0].source.onended = () => {
      if (this.take !== take) return;
      this.take = null;
      this.position_s = 0;
      this.ended();
    };
    this.take = take;
  }

  pause() {
    if (!this.take) return;
    this.position_s = this.now_s;
    const { out, stems } = this.take;
    this.take = null;
    const now = this.context.currentTime;
    out.gain.cancelScheduledValues(now);
    out.gain.setValueAtTime(out.gain.value, now);
    out.gain.linearRampToValueAtTime(0, now + FADE_S);
    stems.forEach(({ source }) => source.stop(now + 2 * FADE_S));
  }

  // Change the position or the loop: what plays is faded out and what follows is faded in.
  again(change) {
    const playing = this.playing;
    this.pause();
    change();
    if (playing) this.play();
  }

  seek(to_s) {
    this.again(() => { this.position_s = Math.min(Math.max(0, to_s), this.duration_s); });
  }

  loop(region) {
    this.again(() => { this.region = region; });
  }

  hear(plays) {
    this.plays = plays;
    this.ramp();
  }

  level(stem, level_db) {
    this.levels_db[stem] = level_db;
    this.ramp();
  }

  ramp() {
    if (!this.take) return;
    const now = this.context.currentTime;
    this.take.stems.forEach(({ gain: { gain } }, stem) => {
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(gain.value, now);
      gain.linearRampToValueAtTime(this.gain(stem), now + RAMP_S);
    });
  }
}
