"""Does the picture obey? Position rules, statistics, and the drawing and judging of many prompts."""
