"""What is kept between passes, so that a pass costs what has changed."""
