"""Decodes planned frames with PyAV (FFmpeg): key frames alone, the others from the key frame before them.

The plan is cut into stretches, each a key frame and the planned frames up to the next one. In an indexed file each
stretch is found by a seek, and several decoders share them; other files are read through once. What is given of a
stretch does not depend on which decoder has it, or on what that one did before. Every key frame goes through a
flushed decoder, and one that is wanted alone is drained at once. Otherwise decoders drop key frames of open GOPs,
because they have not seen the frames before them.
"""

from __future__ import annotations

import itertools
import queue
import threading
from bisect import bisect_right
from collections.abc import Generator, Iterator

import av
import av.error
import numpy as np

from nsnet_cli.media import FrameBatch, PreviewPlan, ReadOptions
from nsnet_cli.video.container import check_memory, open_video
from nsnet_cli.video.leaving_out import LeavingOut
from nsnet_cli.video.opened import VideoPath
from nsnet_cli.video.packets import clocked_packets, packet_ticks, sized_packets
from nsnet_cli.video.probe import Probe
from nsnet_cli.video.scaling import Scaler
from nsnet_cli.video.source import BATCH_FRAMES, Tally
from nsnet_cli.video.stretches import Clock, Decoded, Run, Shared, Stretch, even_shares, nearest, stretches

PACKETS_TO_KEY = 1000
"""Most packets read after a seek to find the key frame."""


def read_frames(
    path: VideoPath, probe: Probe, plan: PreviewPlan, options: ReadOptions, tally: Tally
) -> Iterator[FrameBatch]:
    """Yields the plan's frames in batches of at most BATCH_FRAMES. Counts decoded and lost frames in `tally`."""
    shared = Shared(stretches(plan, probe.key_times_s))
    threads = max(1, min(options.threads, len(shared.parts))) if probe.indexed else 1
    tallies = [Tally() for _ in range(threads)]
    shares = zip(even_shares(shared.parts, threads), tallies, strict=True)
    sources = [_Decoder(path, probe, options, one, shared).batches(parts) for parts, one in shares]
    yield from sources[0] if threads == 1 else _side_by_side(sources)
    for one in tallies:
        tally.add(one)


def _side_by_side(sources: list[Generator[FrameBatch]]) -> Iterator[FrameBatch]:
    """Runs each iterator in its own thread and yields what they give. At most one batch per iterator waits."""
    results: queue.Queue[FrameBatch | BaseException | None] = queue.Queue(maxsize=len(sources))
    stop = threading.Event()

    def put(item: FrameBatch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return results.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work(source: Generator[FrameBatch, None, None]) -> None:
        try:
            for batch in source:
                put(batch)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)
        finally:
            source.close()

    threads = [threading.Thread(target=work, args=(source,), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            item = results.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class _Decoder:
    """One open container and one decoder, working through its stretches."""

    def __init__(self, path: VideoPath, probe: Probe, options: ReadOptions, tally: Tally, shared: Shared) -> None:
        self.path, self.probe, self.options, self.tally, self.shared = path, probe, options, tally, shared
        self.clock = Clock(guessed=probe.info.container == "avi")

    def batches(self, parts: list[Stretch]) -> Generator[FrameBatch, None, None]:
        # Saves a fifth of decoding and changes key frames by 0.25 of 255 levels. Others would change by 1.5.
        only_keys = not any(part.fills for part in self.shared.parts)
        self.video = open_video(self.path, self.options, skip_loop_filter=only_keys)
        try:
            if self.probe.indexed:
                self.shared.want(self.video, self.probe.info.key_frames)
            self.leaving_out = LeavingOut(self.probe.info.codec, self.video.stream.codec_context.extradata)
            self.frame_s = 1 / (self.probe.info.fps or 25.0)
            self.scaler = Scaler(self.options, self.video.stream.sample_aspect_ratio)
            pixels: list[np.ndarray] = []
            times: list[float] = []
            jpegs: list[bytes] = []
            for decoded in self._all(parts):
                pixels.append(self.scaler.square(decoded.frame))
                times.append(decoded.pts_s)
                if self.options.jpegs:
                    jpegs.append(self.scaler.jpeg(decoded.frame))
                if len(times) == BATCH_FRAMES:
                    yield FrameBatch(np.stack(pixels), np.array(times), tuple(jpegs))
                    pixels, times, jpegs = [], [], []
            if times:
                yield FrameBatch(np.stack(pixels), np.array(times), tuple(jpegs))
        finally:
            self.video.close()

    def _all(self, parts: list[Stretch]) -> Iterator[Decoded]:
        packets = iter(()) if self.probe.indexed else clocked_packets(self.video, self.probe.false_keys)
        for part in parts:
            if self.probe.indexed:
                packets = self._seek(part.key_s)
            pushed_back: list[av.Packet] = []
            for decoded in self._stretch(part, packets, pushed_back):
                if self.shared.new(decoded.pts_s):
                    yield decoded
            packets = itertools.chain(pushed_back, packets)

    def _seek(self, key_s: float) -> Iterator[av.Packet]:
        try:
            self.video.container.seek(self.video.ticks(key_s), stream=self.video.stream)
        except av.error.FFmpegError as error:
            check_memory(error)
            self.video.check_disk()
            return iter(())
        return sized_packets(self.video)

    def _stretch(self, part: Stretch, packets: Iterator[av.Packet], pushed_back: list[av.Packet]) -> Iterator[Decoded]:
        first = self.probe.first_frame
        if not part.fills and first is not None and first.pts is not None:
            pts_s = self.video.seconds(first.pts)
            if abs(pts_s - part.key_s) < 1e-6:
                self.tally.frames_decoded += 1
                yield Decoded(pts_s, first)
                return
        key = self._key_packet(part.key_s, packets)
        if key is None:
            self.tally.frames_lost += part.wants_key + len(part.fills)
            return
        if not part.fills:
            yield from self._key_alone(part, key)
            return
        skipping = self.probe.indexed and self.leaving_out.possible
        run = Run(part)
        yield from self._run(run, itertools.chain([key], packets), pushed_back, skipping)
        if run.stopped or (run.missing and self.leaving_out.no_b):
            left = (*run.missing, *run.targets)
            run = yield from self._run_again(Stretch(part.key_s, run.key_due, left), skipping)
        if run.missing and self.probe.indexed:
            # Skipped, or shown before the key frame but stored after it (open GOP): decode from one key frame earlier.
            keys = self.probe.key_times_s
            before_s = keys[max(0, bisect_right(keys, part.key_s) - 2)]
            run = yield from self._run_again(Stretch(before_s, False, tuple(run.missing)), skipping=False)
        self.tally.frames_lost += len(run.missing)

    def _run_again(self, part: Stretch, skipping: bool) -> Generator[Decoded, None, Run]:
        packets = self._seek(part.key_s)
        key = self._key_packet(part.key_s, packets)
        run = Run(part, again=True)
        if key is None:
            run.missing = run.targets
            self.tally.frames_lost += run.key_due
        else:
            yield from self._run(run, itertools.chain([key], packets), [], skipping)
        return run

    def _key_packet(self, key_s: float, packets: Iterator[av.Packet]) -> av.Packet | None:
        """Returns the next key packet. Without an index, it is the one that begins the stretch."""
        limit = PACKETS_TO_KEY if self.probe.indexed else None
        for packet in itertools.islice(packets, limit):
            if packet.is_keyframe or not self.probe.info.key_frames:
                ticks = packet_ticks(packet)
                if self.probe.indexed or (ticks is not None and self.video.seconds(ticks) > key_s - 1e-6):
                    return packet
        return None

    def _key_alone(self, part: Stretch, packet: av.Packet) -> Iterator[Decoded]:
        context = self.video.stream.codec_context
        context.flush_buffers()
        context.skip_frame = "DEFAULT"
        try:
            frames = context.decode(packet) + context.decode(None)
        except av.error.FFmpegError as error:
            check_memory(error)
            frames = []
        frames = [frame for frame in frames if not frame.is_corrupt]
        if not frames:
            self.tally.frames_lost += 1
            return
        self.tally.frames_decoded += len(frames)
        ticks = frames[0].pts if frames[0].pts is not None else packet_ticks(packet)
        yield Decoded(part.key_s if ticks is None else self.video.seconds(ticks), frames[0])

    def _run(
        self, run: Run, packets: Iterator[av.Packet], pushed_back: list[av.Packet], skipping: bool
    ) -> Iterator[Decoded]:
        """Decodes from a key frame on and yields the frames nearest to the planned ones.

        `pushed_back` gets the packets from the last key frame on: they belong to the next stretch.
        """
        before: Decoded | None = None
        for decoded in self._decoding(run, packets, pushed_back, skipping):
            if run.key_due:
                yield decoded
                run.key_due = False
            while run.targets and decoded.pts_s >= run.targets[0].pts_s:
                chosen = run.settle(nearest(run.targets[0].pts_s, before, decoded))
                if chosen is not None:
                    yield chosen
            if not run.targets:
                break
            before = decoded
        while run.targets and not run.stopped:
            chosen = run.settle(before)
            if chosen is not None:
                yield chosen
        if not run.stopped:
            self.tally.frames_lost += run.key_due

    def _decoding(
        self, run: Run, packets: Iterator[av.Packet], pushed_back: list[av.Packet], skipping: bool
    ) -> Iterator[Decoded]:
        context = self.video.stream.codec_context
        context.flush_buffers()
        context.skip_frame = "DEFAULT"
        self.clock.restart()
        shown = 0
        for count, packet in enumerate(self._fed(run, packets, skipping)):
            if packet is not None:
                if packet.is_keyframe and count:
                    pushed_back.clear()
                if pushed_back or (packet.is_keyframe and count):
                    pushed_back.append(packet)
            try:
                frames = context.decode(packet)
            except av.error.FFmpegError as error:
                check_memory(error)
                continue
            for frame in frames:
                self.tally.frames_decoded += 1
                ticks = None if self.probe.clockless else self.clock.ticks(frame.pts, frame.dts)
                time_s = self.video.seconds(ticks) if ticks is not None else run.part.key_s + shown * self.frame_s
                shown += 1
                if not frame.is_corrupt:
                    yield Decoded(time_s, frame)

    def _fed(self, run: Run, packets: Iterator[av.Packet], skipping: bool) -> Iterator[av.Packet | None]:
        """Yields what the decoder gets, and sets what it leaves out. None at the end: it gives its last frames."""
        context, leaving_out = self.video.stream.codec_context, self.leaving_out
        if skipping:
            packets = leaving_out.begin(packets, run.sparse(self.frame_s), lambda p: self._is_last(run, p))
        for packet in packets:
            if skipping:
                if run.reached and leaving_out.begins_anew(memoryview(packet)):
                    break
                wanted = packet.pts is None or run.needs(self.video.seconds(packet.pts), self.frame_s)
                least = leaving_out.least(memoryview(packet), wanted)
                if least is None:
                    run.stopped = True
                    return
                context.skip_frame = least
            if packet.pts is not None and not packet.is_discard:
                run.see(self.video.seconds(packet.pts))
            yield packet
        yield None

    def _is_last(self, run: Run, packet: av.Packet) -> bool:
        return packet.pts is not None and self.video.seconds(packet.pts) >= run.times[-1]
