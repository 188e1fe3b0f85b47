"""From a video or a tracklet to the clip that a network gets: sampling, transforms, samplers."""
