"""`tidemill audit`: whether each occurrence has one outcome or one stated reason, computed without the streams."""
