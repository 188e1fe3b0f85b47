"""Person re-identification: mAP, mINP and CMC under named protocols, re-ranking, files of features."""
