print("cordwood")
