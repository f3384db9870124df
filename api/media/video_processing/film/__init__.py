"""Make an uploaded film playable everywhere: refuse or describe it, cut it, encode it, and write its playlists.

Plain asyncio and child processes; no database, no HTTP, no cluster. The steps, as a service takes them:

    from .film.probe import ProbeLimits, probe
    from .film.ladder import ladder
    from .film.segments import plan
    from .film.encode import encode_audio, encode_chunk, extract_poster, remux
    from .film.hls import package

    found = await probe(path)                       # UnplayableFilm: refuse for good; `detail` is for the teacher
    if found.needs_remux:                   # MPEG-TS, AVI, FLV, ...: copied, not encoded
        await remux(path, copy)
        path, found = copy, await probe(copy)
    rungs, work = ladder(found), plan(found)

    # The tasks, in any order and anywhere that sees `path`; a repeated task's result replaces the first one's.
    tracks = await encode_chunk(path, chunk, rungs, out)      # for each of work.chunks, with all rungs or some
    sound = await encode_audio(path, work.audio, out)         # once, when work.audio is not None; may return None
    await extract_poster(path, found, work, out / "poster.jpg")

    film = package(rungs, all_tracks, sound)        # film.playlists: relative path -> text, "master.m3u8" among them

Files: `out/<rung>/init.mp4`, `out/<rung>/seg-00000.m4s`, ..., `out/audio/...`; `film.playlists` has the same paths. Workers
with folders of their own store what `EncodedTrack` names (`init.mp4` and each segment's `file_name`). All results are frozen
dataclasses of plain values that pickle and msgspec carry; `EncodedTrack.init` is compared by `package`, so that chunks which were
encoded with different settings never end in one playlist.

- A task is (chunk x renditions): one child process decodes once and makes all renditions it is given, which costs least. On a
  large cluster give each task one rendition; the times are the same either way, byte for byte in the playlists.
- `UnplayableFilm` is final. `EncodingFailed` (killed, timed out) and `OSError` (disk full) may be repeated.
- A cancelled task kills its process group and removes its work files; a killed worker takes its encoder with it (Linux).
- Progress: `on_progress` gets 0..1 per task; weigh tasks by `chunk.duration_s`.
- Time zero is the first picture. Sound that starts earlier is cut off, sound that starts later follows silence; sound that goes
  on after the last picture is kept.
- More than 60 pictures per second are thinned out to 60; otherwise every picture keeps its time, to 1/90000 s.
- `sample.make_demo_film` makes the demo school's film, `sample.make_film` films for tests.
"""
