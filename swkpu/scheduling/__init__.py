"""From the sequential program to one stream of commands per engine: steps, channels, timelines, projection."""
