"""Does the picture show the relation? Position rules, statistics, and the drawing and judging of many prompts."""
