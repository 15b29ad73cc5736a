// The first file of this folder; replaced by its tests.
