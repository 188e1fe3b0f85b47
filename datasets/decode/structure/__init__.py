"""How the bytes of a file hang together: what is missing at its end, and where inside one part does not follow another.

FFmpeg goes on silently where a container is damaged: it looks for the next place that it understands. Walking from part
to part by the lengths that the file itself states shows where that happens, without decoding anything. Only these parts
are looked at, not the pictures in them: damage there shows when they are decoded.
"""
